"""What no stack may declare: rules over all of its resources, for `make plan` and as a Pulumi policy pack.

Nothing in here imports the program or `pulumi_policy`, except `__main__.py`, which is the pack.
"""
