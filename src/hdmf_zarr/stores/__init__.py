"""Where stores are, and how their keys are reached."""
