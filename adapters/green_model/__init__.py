"""GREEN by the model that was trained for it, on this machine.

Where it is served instead (``green.judge=served``), vLLM must put around the question what the model was trained on:

    vllm serve StanfordAIMI/GREEN-radllama2-7b --chat-template adapters/green_model/chat_template.jinja --max-model-len 2048

The template writes every sign itself, the first and the last too: the question as the user's turn, an empty turn of the assistant, and the head of
the next, each turn with its end, and one more end, since the authors' tokenizer was told to add it.
"""
