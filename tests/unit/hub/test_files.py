import pytest

from suture.hub.files import chosen, is_weights

WEIGHTS = {"model.safetensors"}


@pytest.mark.parametrize(
    "name",
    [
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "tokenizer.model", "special_tokens_map.json", "vocab.json", "merges.txt", "chat_template.jinja",
        "preprocessor_config.json", "model.safetensors.index.json", "LICENSE", "LICENSE.md", "NOTICE", "README.md",
        "USE_POLICY.md",
    ],
)  # fmt: skip
def test_what_makes_a_checkpoint_is_fetched(name: str) -> None:
    assert chosen([name], WEIGHTS) == (name,)


@pytest.mark.parametrize(
    "name",
    [
        "modeling_x.py", "pytorch_model.bin", "training_args.bin", "optimizer.pt", "model.gguf", "model.onnx",
        "tf_model.h5", "consolidated.safetensors", "../config.json", "onnx/config.json", "original/LICENSE",
        ".gitattributes", "tokenizer.pkl", "manifest.json", "sub/chat_template.jinja", "/etc/LICENSE", "LICENSE\0",
        "LICENSE\x1b[2J", "a\n.jinja",
    ],
)  # fmt: skip
def test_nothing_else_is(name: str) -> None:
    assert chosen([name], WEIGHTS) == ()


@pytest.mark.parametrize(
    "name", ["../a.safetensors", "/a.safetensors", "a\0.safetensors", "\x1b.safetensors"], ids=ascii
)
def test_weights_have_plain_names(name: str) -> None:
    assert not is_weights(name)
