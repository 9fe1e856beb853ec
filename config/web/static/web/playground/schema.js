/** Checks a value against JSON Schema: the keywords that the AsyncAPI document uses. */

const kindOf = (value) => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);
const isKind = (value, kind) => (kind === "integer" ? Number.isInteger(value) : kind === kindOf(value));
const length = (value) => (typeof value === "string" ? [...value] : Object.keys(value)).length;
const list = (values) => values.map((value) => JSON.stringify(value)).join(", ");

const most = (noun) => (v, n) => length(v) > n && `has more than ${n} ${noun}`;
const string = {
	minLength: (v, n) => length(v) < n && `needs ${n} or more characters`,
	maxLength: most("characters"),
	pattern: (v, p) => !new RegExp(p, "u").test(v) && `does not match ${p}`,
};
const number = {
	minimum: (v, n) => v < n && `must be at least ${n}`,
	maximum: (v, n) => v > n && `must be at most ${n}`,
	exclusiveMaximum: (v, n) => v >= n && `must be less than ${n}`,
};
const RULES = { string, number, array: { maxItems: most("items") }, object: { maxProperties: most("members") } };

export class Schemas {
	/** `document` is what a `$ref` such as "#/components/schemas/Ack" leads into. */
	constructor(document) {
		this.document = document;
	}

	resolve(schema) {
		while (schema.$ref) {
			schema = schema.$ref.slice(2).split("/").reduce((part, key) => part[key], this.document);
		}
		return schema;
	}

	/** Returns the problems as sentences, each with the path of its member in front. */
	check(value, schema, path = "") {
		schema = this.resolve(schema);
		const at = (problem) => `${path && `${path}: `}${problem}`;
		const wrong = this.#whole(value, schema);
		if (wrong) return [at(wrong)];
		const kind = kindOf(value);
		const problems = Object.entries(RULES[kind] ?? {})
			.map(([keyword, rule]) => keyword in schema && rule(value, schema[keyword]))
			.filter(Boolean)
			.map(at);
		for (const choices of [schema.anyOf, schema.oneOf]) {
			if (choices) problems.push(...this.#choose(value, choices, path, choices === schema.oneOf));
		}
		if (kind === "object") problems.push(...this.#members(value, schema, path));
		if (kind === "array" && schema.items) {
			problems.push(...value.flatMap((item, i) => this.check(item, schema.items, `${path}[${i}]`)));
		}
		return [...new Set(problems)];
	}

	#whole(value, { type, const: only, enum: values }) {
		const kinds = [type ?? []].flat();
		if (kinds.length && !kinds.some((kind) => isKind(value, kind))) {
			return `must be ${kinds.join(" or ")}, not ${kindOf(value)}`;
		}
		if (only !== undefined && value !== only) return `must be ${list([only])}`;
		return values && !values.includes(value) && `must be one of ${list(values)}`;
	}

	#members(value, { properties = {}, required = [], additionalProperties: others = true }, path) {
		const inside = (name) => (path ? `${path}.${name}` : name);
		const missing = required.filter((name) => !Object.hasOwn(value, name));
		return Object.entries(value).flatMap(([name, member]) => {
			const known = Object.hasOwn(properties, name) ? properties[name] : others;
			if (known === false) return `${inside(name)}: unknown member. Known: ${Object.keys(properties).join(", ")}`;
			return known === true ? [] : this.check(member, known, inside(name));
		}).concat(missing.map((name) => `${inside(name)}: is missing`));
	}

	/** The problems of the choice that fits best: by the constant of `type`, else the fewest. */
	#choose(value, choices, path, one) {
		const at = (problem) => [`${path && `${path}: `}${problem}`];
		const tags = choices.map((choice) => this.resolve(choice).properties?.type);
		const tagged = choices.filter((_, i) => tags[i] && !this.check(value?.type, tags[i]).length);
		if (typeof value?.type === "string" && tags.some((tag) => tag?.const) && !tagged.length) {
			return at(`unknown type. Known: ${list([...new Set(tags.flatMap((tag) => tag?.const ?? []))])}`);
		}
		const likely = choices.filter((choice) => !this.#whole(value, this.resolve(choice)));
		const found = (tagged.length ? tagged : likely.length ? likely : choices)
			.map((choice) => this.check(value, choice, path))
			.sort((left, right) => left.length - right.length);
		if (choices.every(({ required }) => required)) {
			const fitting = found.filter((problems) => !problems.length).length;
			const names = choices.map(({ required }) => required).join(" or ");
			if (!fitting || (one && fitting > 1)) return at(`needs ${names}${fitting ? ", not both" : ""}`);
		}
		return found[0];
	}
}
