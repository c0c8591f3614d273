"""What the environment of a user holds that no output may hold: keys, and the password of a proxy."""

SECRETS = {
    "OPENAI_API_KEY": "sk-test-3f9a77c2d1e84b60",
    "ANTHROPIC_API_KEY": "sk-ant-test-90ab12cd34ef",
    "HF_TOKEN": "hf_testtesttest5566778899",
    "AWS_SECRET_ACCESS_KEY": "awstestsecret/0011223344",
    "HTTPS_PROXY": "http://somebody:hunter2-proxy@127.0.0.1:9",
    "HTTP_PROXY": "http://somebody:hunter2-proxy@127.0.0.1:9",
    "WANDB_API_KEY": "wandbtest00112233445566",
}
NEEDLES = (*(value for name, value in SECRETS.items() if "PROXY" not in name), "hunter2-proxy")
"""what to look for"""
