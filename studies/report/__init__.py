"""A study's record as one page to read: `sections` has its parts in their order, `page` writes HTML or Markdown.

document      what a report is made of: sections of plain text, tables and figures
answer        what won, and how sure that is; `front` where several metrics count, `confirmed` under fresh seeds
training      how trials trained; `predictions` what the best one answers, `every_trial` all of them
parameters    what each one does; `importance` and `interactions` compute it
findings      what trials add up to, as numbers for the sections
figures       drawings, as plotly's JSON; `marginals` those of the parameters
png shades    the same with matplotlib; heat maps for plotly's small bundle
"""
