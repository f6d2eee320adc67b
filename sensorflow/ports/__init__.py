"""The ports: the flow's interfaces to databases, stores, brokers and feeds, one subject per module. Their
docstrings are contracts.

Every port has a real and an in-memory adapter. Both pass the same conformance suite
(``tests/conformance``).
"""
