"""The page to read cases on: one file that opens with a double click, and data files beside it that it reads as it needs them.

    <run>/index.html  <run>/page/run.js cases.js model-<k>.js number-<j>.js block-<b>.js images.js  <run>/page/images/<place>-<i>.jpg

``shown`` says what goes in, ``read_back`` gathers that from a finished run, ``write`` writes it. The page holds no more of the run than is read on
it, and asks nobody anything.
"""
