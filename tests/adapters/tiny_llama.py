"""A tiny LLaMA with random weights and a vocabulary of bytes: what GREEN's 7B is, small enough for a test."""

from __future__ import annotations

from pathlib import Path


def tiny_llama(folder: Path, seed: int = 0, places: int = 4096) -> Path:
    """2 layers, 32 wide; a token per byte, and the signs <s> and </s> as the published vocabulary has them."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = Tokenizer(models.BPE({sign: number for number, sign in enumerate(["<unk>", "<s>", "</s>", *alphabet])}, [], unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    pieces.add_special_tokens([AddedToken(sign, normalized=False) for sign in ("<unk>", "<s>", "</s>")])
    pieces.save(str(folder / "tokenizer.json"))
    config = LlamaConfig(
        vocab_size=pieces.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=places,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(seed)
    network = LlamaForCausalLM(config)
    for tensor in network.parameters():
        if tensor.dim() > 1:
            torch.nn.init.normal_(tensor, std=0.4)
    with torch.no_grad():
        network.lm_head.weight[2] *= 2  # the end comes sooner than one time in 259
    network.save_pretrained(folder)
    return folder
