"""A LLaVA of transformers with random weights, a dozen words and a chat template, as save_pretrained leaves it: some 40 kB."""

from __future__ import annotations

from pathlib import Path

WORDS = "Write the FINDINGS Image 1 2 : this examination , PA view Why Fever lungs heart clear large is no effusion USER ASSISTANT"
FILLING = [f"word{number}" for number in range(64)]  # else what it writes would mostly be signs
TEMPLATE = (
    "{% for turn in messages %}{{ turn['role'].upper() }}: {% for part in turn['content'] %}{% if part['type'] == 'image' %}<image> "
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def write_tiny_vlm(folder: Path, template: str | None = TEMPLATE) -> Path:
    """Weights, processor and tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPImageProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast
    from transformers.models.llava.processing_llava import LlavaProcessor

    pieces = {word: number for number, word in enumerate(["<unk>", "<s>", "</s>", "<pad>", "<image>", *dict.fromkeys(WORDS.split()), *FILLING])}
    tokenizer = Tokenizer(models.WordLevel(pieces, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**small, image_size=28, patch_size=14),
        text_config=LlamaConfig(**small, vocab_size=len(pieces), max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=3),
        image_token_index=pieces["<image>"],
    )
    torch.manual_seed(0)
    network = LlavaForConditionalGeneration(config)
    for parameter in network.parameters():  # as large as a trained one's, so that images change what is written
        torch.nn.init.normal_(parameter, std=0.5)
    network.save_pretrained(folder)
    square = {"height": 28, "width": 28}
    images = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=square)
    LlavaProcessor(
        images, fast, patch_size=14, vision_feature_select_strategy="default", chat_template=template, num_additional_image_tokens=1
    ).save_pretrained(folder)
    return folder
