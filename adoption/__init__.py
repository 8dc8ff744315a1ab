"""Make a repository of your own from this checkout, and bring later versions of the machinery into it.

`nox -s adopt`; docs/adopting.md explains the choice. All of it is a function of a commit and a name: `tree`.
"""
