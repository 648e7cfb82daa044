import type { SetupAnswer, SetupInput } from '../core/types';

/** The kinds of inputs that the window draws; any other one is a line of text. */
export function kindOf({ type }: { type?: string }): string {
  const known = ['number', 'password', 'select', 'multiselect', 'boolean', 'textarea'];
  return type && known.includes(type) ? type : 'text';
}

/** The values of a form by the names of its inputs, in the types that a skill expects. Empty ones are left out. */
export function valuesOf(form: HTMLFormElement, inputs: SetupInput[]): Record<string, unknown> {
  const data = new FormData(form);
  const values: Record<string, unknown> = {};
  for (const input of inputs) {
    const choices = input.options ?? [];
    const given = data.get(input.name);
    switch (kindOf(input)) {
      case 'boolean':
        values[input.name] = data.has(input.name);
        break;
      case 'multiselect':
        values[input.name] = data.getAll(input.name).map((index) => choices[Number(index)]?.value);
        break;
      case 'select':
        if (typeof given === 'string' && given !== '') values[input.name] = choices[Number(given)]?.value;
        break;
      case 'number':
        if (typeof given === 'string' && given !== '') values[input.name] = Number(given);
        break;
      default:
        if (typeof given === 'string' && given !== '') values[input.name] = given;
    }
  }
  return values;
}

/** What is missing or is no number, by the names of the inputs. */
export function problemsOf(inputs: SetupInput[], values: Record<string, unknown>): Record<string, string> {
  const problems: Record<string, string> = {};
  for (const input of inputs) {
    const value = values[input.name];
    const label = input.label ?? input.name;
    if (typeof value === 'number' && Number.isNaN(value)) problems[input.name] = `${label} must be a number.`;
    else if (input.required && (value === undefined || (Array.isArray(value) && value.length === 0))) {
      problems[input.name] = `${label} is missing.`;
    }
  }
  return problems;
}

/** What a skill objects to: by input, and what belongs to none. */
export function objectionsOf(
  answer: SetupAnswer,
  inputs: SetupInput[],
): { fields: Record<string, string>; general: string | null } {
  const fields: Record<string, string> = {};
  const others: string[] = [];
  for (const { field, message } of Array.isArray(answer.errors) ? answer.errors : []) {
    const text = typeof message === 'string' && message ? message : 'This is not accepted.';
    if (field && inputs.some(({ name }) => name === field)) fields[field] = text;
    else others.push(text);
  }
  if (others.length === 0 && Object.keys(fields).length === 0) {
    others.push(answer.message ?? 'The skill refused and gave no reason.');
  }
  return { fields, general: others.length > 0 ? others.join(' ') : null };
}
