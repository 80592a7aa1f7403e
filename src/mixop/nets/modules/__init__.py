"""A search space inside any model: choices that a module holds, the space that they make, the network that they leave."""
