"""Commands on very many objects, which a service invents: what they cost in time and memory."""
