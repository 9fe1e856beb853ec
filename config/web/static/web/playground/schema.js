/** Checks a value against JSON Schema: the keywords that the AsyncAPI document uses. */

const kindOf = (value) =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value;

const isKind = (value, kind) =>
  kind === "integer" ? Number.isInteger(value) : kind === kindOf(value);

const length = (text) => [...text].length;
const shown = (value) => JSON.stringify(value);
const list = (values) => values.map(shown).join(", ");
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** Each returns what is wrong, or nothing. They run only for values of their own kind. */
const RULES = {
  string: {
    minLength: (v, n) => length(v) < n && `needs at least ${count(n, "character")}`,
    maxLength: (v, n) => length(v) > n && `has more than ${count(n, "character")}`,
    pattern: (v, p) => !new RegExp(p, "u").test(v) && `does not match ${p}`,
  },
  number: {
    minimum: (v, n) => v < n && `must be at least ${n}`,
    maximum: (v, n) => v > n && `must be at most ${n}`,
    exclusiveMinimum: (v, n) => v <= n && `must be more than ${n}`,
    exclusiveMaximum: (v, n) => v >= n && `must be less than ${n}`,
  },
  array: {
    minItems: (v, n) => v.length < n && `needs at least ${count(n, "item")}`,
    maxItems: (v, n) => v.length > n && `has more than ${count(n, "item")}`,
  },
  object: {
    minProperties: (v, n) => Object.keys(v).length < n && `needs at least ${count(n, "member")}`,
    maxProperties: (v, n) => Object.keys(v).length > n && `has more than ${count(n, "member")}`,
  },
};

/** Keywords that say something to people, or that `check` handles itself. */
const OTHERS =
  "$ref type const enum anyOf oneOf allOf not required properties additionalProperties propertyNames " +
  "items title description default examples format discriminator deprecated $id $schema";
export const KEYWORDS = new Set([
  ...OTHERS.split(" "),
  ...Object.values(RULES).flatMap(Object.keys),
]);

export class Schemas {
  /** `document` is what a `$ref` such as "#/components/schemas/Ack" leads into. */
  constructor(document) {
    this.document = document;
  }

  resolve(schema) {
    while (schema?.$ref) {
      schema = schema.$ref
        .slice(2)
        .split("/")
        .reduce((part, key) => part?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], this.document);
    }
    return schema ?? {};
  }

  /** Returns the problems as sentences, each with the path of its member in front. */
  check(value, schema, path = "") {
    schema = this.resolve(schema);
    const at = (problem) => `${path ? `${path}: ` : ""}${problem}`;
    const wrong = this.#whole(value, schema);
    if (wrong) return [at(wrong)];
    const problems = [];
    const rules = RULES[kindOf(value)] ?? {};
    for (const [keyword, limit] of Object.entries(schema)) {
      const problem = Object.hasOwn(rules, keyword) && rules[keyword](value, limit);
      if (problem) problems.push(at(problem));
    }
    for (const part of schema.allOf ?? []) problems.push(...this.check(value, part, path));
    for (const choices of [schema.anyOf, schema.oneOf]) {
      if (choices) problems.push(...this.#choose(value, choices, path, choices === schema.oneOf));
    }
    if (schema.not && !this.check(value, schema.not).length) problems.push(at(this.#forbidden(schema.not)));
    if (kindOf(value) === "object") problems.push(...this.#members(value, schema, path));
    if (Array.isArray(value) && schema.items) {
      value.forEach((item, i) => problems.push(...this.check(item, schema.items, `${path}[${i}]`)));
    }
    return [...new Set(problems)];
  }

  #forbidden({ required }) {
    return required ? `${required.join(" and ")} cannot stand here` : "is not allowed here";
  }

  #whole(value, { type, const: only, enum: values }) {
    const kinds = type ? [type].flat() : [];
    if (kinds.length && !kinds.some((kind) => isKind(value, kind))) {
      return `must be ${kinds.join(" or ")}, not ${kindOf(value)}`;
    }
    if (only !== undefined && value !== only) return `must be ${shown(only)}`;
    return values && !values.includes(value) && `must be one of ${list(values)}`;
  }

  #members(value, schema, path) {
    const { properties = {}, required = [], additionalProperties: others = true } = schema;
    const inside = (name) => (path ? `${path}.${name}` : name);
    const problems = required
      .filter((name) => !Object.hasOwn(value, name))
      .map((name) => `${inside(name)}: is missing`);
    for (const [name, member] of Object.entries(value)) {
      if (Object.hasOwn(properties, name)) {
        problems.push(...this.check(member, properties[name], inside(name)));
      } else if (others === false) {
        problems.push(`${inside(name)}: unknown member. Known: ${Object.keys(properties).join(", ")}`);
      } else if (others !== true) {
        problems.push(...this.check(member, others, inside(name)));
      }
      if (schema.propertyNames) problems.push(...this.check(name, schema.propertyNames, inside(name)));
    }
    return problems;
  }

  /** The problems of the choice that fits best: by the constant of `type`, else the fewest. */
  #choose(value, choices, path, one) {
    const at = (problem) => [`${path ? `${path}: ` : ""}${problem}`];
    const members = choices.every(({ required, ...rest }) => required && !Object.keys(rest).length);
    const tags = choices.map((choice) => this.resolve(choice).properties?.type);
    const tagged = choices.filter((_, i) => tags[i] && !this.check(value?.type, tags[i]).length);
    if (typeof value?.type === "string" && !tagged.length && tags.every(Boolean)) {
      return [`${path}type: unknown. Known: ${list([...new Set(tags.map((tag) => tag.const))])}`];
    }
    const found = (tagged.length ? tagged : choices)
      .map((choice) => this.check(value, choice, path))
      .sort((left, right) => left.length - right.length);
    const fitting = found.filter((problems) => !problems.length).length;
    if (members && !fitting) return at(`needs ${choices.map(({ required }) => required).join(" or ")}`);
    if (one && fitting > 1) return at(`only one of ${members ? choices.map(({ required }) => required).join(", ") : "the forms"} is allowed`);
    return found[0];
  }
}
