"""Where parameters come from: addresses, the cache, file formats, and the report of what was assigned."""
