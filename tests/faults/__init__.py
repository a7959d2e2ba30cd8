"""The fault table: every fault that the service can be told, in every operation of the filesystem."""
