"""ECR: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/"""

from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.resources.kind import (
    Resource,
    Values,
    chosen,
    managed,
    pairs,
    retag,
    same_names,
    tags_seen,
)

_RULE = same_names("ecrRepositoryPrefix", "upstreamRegistryUrl", "credentialArn")


def _create_rule(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    created = cloud.client("ecr").create_pull_through_cache_rule(**chosen(inputs, _RULE))
    return inputs["ecrRepositoryPrefix"], {"registryId": created["registryId"]}


def _read_rule(cloud: Cloud, id_: str, state: Values) -> Values:
    answer = cloud.client("ecr").describe_pull_through_cache_rules(ecrRepositoryPrefixes=[id_])
    (rule,) = answer["pullThroughCacheRules"]
    return {key: rule[key] for key in (*_RULE, "registryId") if key in rule}


def _update_rule(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    cloud.client("ecr").update_pull_through_cache_rule(
        ecrRepositoryPrefix=id_, credentialArn=new["credentialArn"]
    )
    return {}


def _create_repository(cloud: Cloud, inputs: Values) -> tuple[str, Values]:
    created = cloud.client("ecr").create_repository(
        repositoryName=inputs["name"],
        tags=pairs(inputs.get("tagsAll")),
        **_scanning(inputs),
    )["repository"]
    return inputs["name"], {
        "arn": created["repositoryArn"],
        "registryId": created["registryId"],
        "repositoryUrl": created["repositoryUri"],
    }


def _scanning(inputs: Values) -> Values:
    names = {"imageScanningConfiguration": "imageScanningConfiguration"}
    return chosen(inputs, names)


def _read_repository(cloud: Cloud, id_: str, state: Values) -> Values:
    ecr = cloud.client("ecr")
    (found,) = ecr.describe_repositories(repositoryNames=[id_])["repositories"]
    tags = ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    scanning = {"imageScanningConfiguration": found["imageScanningConfiguration"]}
    return {
        **managed(state, scanning),
        "name": found["repositoryName"],
        "arn": found["repositoryArn"],
        **tags_seen(tags, state),
    }


def _update_repository(cloud: Cloud, id_: str, old: Values, new: Values) -> Values:
    ecr = cloud.client("ecr")
    if old.get("imageScanningConfiguration") != new.get("imageScanningConfiguration"):
        ecr.put_image_scanning_configuration(
            repositoryName=id_,
            imageScanningConfiguration=new.get("imageScanningConfiguration")
            or {"scanOnPush": False},
        )
    arn = old["arn"]
    return retag(
        old,
        new,
        lambda keys: ecr.untag_resource(resourceArn=arn, tagKeys=keys),
        lambda tags: ecr.tag_resource(resourceArn=arn, tags=pairs(tags)),
    )


RESOURCES = {
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": Resource(
        create=_create_rule,
        read=_read_rule,
        update=_update_rule,
        delete=lambda cloud, id_, _: cloud.client("ecr").delete_pull_through_cache_rule(
            ecrRepositoryPrefix=id_
        ),
        replaces=frozenset({"ecrRepositoryPrefix", "upstreamRegistryUrl"}),
    ),
    "aws:ecr/repository:Repository": Resource(
        create=_create_repository,
        read=_read_repository,
        update=_update_repository,
        delete=lambda cloud, id_, state: cloud.client("ecr").delete_repository(
            repositoryName=id_, force=bool(state.get("forceDelete"))
        ),
        replaces=frozenset({"name", "encryptionConfigurations"}),
        autoname="name",
    ),
}
