"""The ports: interfaces of the flow to the outside, one subject per module. Each docstring is a contract.

Every port has a real adapter and an in-memory one. Both pass the same conformance suite
(``tests/conformance``).
"""
