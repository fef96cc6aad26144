"""The architecture picture: an SVG that says nothing that the plan of a stack does not say."""
