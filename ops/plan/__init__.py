"""The offline plan: the real program on Pulumi's mock engine, without network, account or cluster."""
