"""What runs inside a machine of the lab: the agent, and the warm runner of scenarios."""
