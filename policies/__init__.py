"""Policy rules over all resources of a stack, for `make plan` and as a Pulumi policy pack.

Only `__main__.py`, the policy pack, imports `pulumi_policy`. No module imports the program.
"""
