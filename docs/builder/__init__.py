"""Makes the sources of the documentation site: the pages of docs/ as they are, and what is generated from the code.

    PYTHONPATH=docs python -m builder FOLDER

`make docs` does so, and builds the site. Nothing that is made here is committed.
"""
