"""verl engine: objectives in verl's own trainer on Ray clusters, as a plugin beside a stock install.

Every module here can be imported without verl, which is imported where it is used.
"""
