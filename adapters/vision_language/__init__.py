"""What the vision-language guests share: published files into a network, text and image features into a language model, reports out.

A guest puts it together in this order (``adapters/llava_rad/model.py`` is the plainest example):

    published.Published           what is on the hub, at which revision, gated or not -> the folder of files; needs_of, the lines for doctor
    stored.opened                 files -> name -> Stored, nothing read yet
    naming.renamed, lora.merged   their names and parts -> the network's
    loading.empty                 a network on no device
    fitting.fitted                device, precision, batch: does it fit? said before anything is read
    loading.load                  it is filled, tensor by tensor; a name too many, too few or of another shape is an error
    pieces.read_pieces            tokenizer.json or tokenizer.model -> pieces; pieces.around_images cuts a prompt as the LLaVA family does
    pixels                        a radiograph -> what the tower was trained on
    writing.Writer, .reports      cases -> reports, sorted by length, in batches filled on the left, images read ahead
"""
