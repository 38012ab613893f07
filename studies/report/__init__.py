"""A study's record as one page to read: `sections` has its parts in their order, `page` writes HTML or Markdown."""
