import axe from 'axe-core';

/** The accessibility violations of what is on the page. jsdom has no layout, so contrast is checked in the window. */
export async function violationsOf(root: Element = document.documentElement): Promise<string[]> {
  const results = await axe.run(root, { rules: { 'color-contrast': { enabled: false } } });
  return results.violations.map(
    (violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(' ')).join(', ')}`,
  );
}
