"""Train, evaluate, benchmark, plot: the questions asked of the agents, and the command line.

Each module is one verb or one noun; import what you need from it, for example
``from driftrec.experiments.evaluate import evaluate``. Nothing heavy is imported here.
"""
