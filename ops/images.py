"""`make images`: the images that a registry of a company needs copies of."""

from ops.stack_files import read_settings
from settings.images import Mirror


def images(stack: str) -> int:
    """Print each image of a stack, and the name of its copy in `images.registry`, on one line."""
    settings = read_settings(stack, copies=False)
    registry = settings.images.registry
    for image in settings.all_images:
        print(" ".join([image, *([Mirror(registry=registry).copy_of(image)] if registry else [])]))
    return 0
