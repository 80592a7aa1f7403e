"""The live page of run directories: follows what their processes write, and shows it in a browser. Needs no torch."""
