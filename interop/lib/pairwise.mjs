// Selects few test cases that still cover each pair of values.

/**
 * Returns combinations of the factors' values. Each pair of values of two factors occurs in one of them at least. `factors` maps at least
 * two names to lists of values; a combination maps each name to a value. The result depends only on the order of names and values.
 */
export function pairwise(factors) {
  const names = Object.keys(factors);
  const combinations = names.reduce(
    (all, name) => all.flatMap((combination) => factors[name].map((value) => ({ ...combination, [name]: value }))),
    [{}],
  );
  const pairs = (combination) =>
    names.flatMap((one, i) => names.slice(i + 1).map((other) => JSON.stringify([one, combination[one], other, combination[other]])));
  const missing = new Set(combinations.flatMap(pairs));
  const gain = (combination) => pairs(combination).filter((pair) => missing.has(pair)).length;
  const selected = [];
  while (missing.size > 0) {
    const best = combinations.reduce((best, combination) => (gain(combination) > gain(best) ? combination : best));
    pairs(best).forEach((pair) => missing.delete(pair));
    selected.push(best);
  }
  return selected;
}
