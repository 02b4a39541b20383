"""Rewrites a model's forward pass as a graph that TensorFlow runs faster, before it is exported.

    graph.py      the forward pass as a frozen graph
    edit.py       changing nodes of one
    grappler.py   TensorFlow's own optimisers, run beforehand
    passes/       one file per rewrite
    agreement.py  how far a rewritten graph is from the original
    rewriting.py  runs the passes one by one and keeps those that agree
    int8/         eight bits: ranges, integer kernels, how exact each layer is

What is written holds public operations only, so every server that could run the model before can run it now. Levels of
eight bits are the exception: they hold oneDNN's integer operations, which TensorFlow Serving knows on x86 alone.
"""
