"""What answers requests: a model in this process, vLLM's engine, or a server."""
