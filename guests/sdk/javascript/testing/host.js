// The host of tests, in Node.js: the contract's imports.

// Objects by ticket.
export const state = { objects: [], config: {}, lines: [] };

export const objects = {
  key(ticket) {
    const { apiVersion = '', kind = '', metadata } = state.objects[ticket];
    const [version, group = ''] = apiVersion.split('/').reverse();
    const { namespace = null, name, uid = '', resourceVersion = '' } = metadata;
    return { group, version, kind, namespace, name, uid, resourceVersion };
  },
  get: (ticket, pointer) => text(at(state.objects[ticket], pointer)),
  getString: (ticket, pointer) => string(at(state.objects[ticket], pointer)),
  json: (ticket) => JSON.stringify(state.objects[ticket]),
};

export const config = {
  get: (name) => text(at(state.config, `/${escaped(name)}`)),
  getString: (name) => string(at(state.config, `/${escaped(name)}`)),
  json: () => JSON.stringify(state.config),
};

export const log = {
  log(level, message, fields) {
    const pairs = fields.map(({ name, value }) => [name, value]);
    state.lines.push({ level, message, fields: Object.fromEntries(pairs) });
  },
};

export const cache = {
  get(apiVersion, kind, namespace, name) {
    return cached(apiVersion, kind).get(`${namespace ?? ''}/${name}`) ?? null;
  },
  listObjects(apiVersion, kind, namespace, labelSelector, limit, cursor) {
    if (labelSelector !== '') {
      throw 'the host of tests knows no selectors';
    }
    const wanted = [...cached(apiVersion, kind)]
      .filter(([name]) => namespace === null || name.startsWith(`${namespace}/`))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, ticket]) => ticket);
    const begin = Number(cursor ?? 0);
    const end = begin + Math.min(limit || PAGE_MAX, PAGE_MAX);
    return { objects: wanted.slice(begin, end), cursor: end < wanted.length ? String(end) : null };
  },
  listByIndex() {
    throw 'the host of tests knows no indices';
  },
  release() {},
};

// The newest object of each name of a kind, by ticket.
function cached(apiVersion, kind) {
  const newest = new Map();
  state.objects.forEach((object, ticket) => {
    if (object.apiVersion === apiVersion && object.kind === kind) {
      newest.set(`${object.metadata.namespace ?? ''}/${object.metadata.name}`, ticket);
    }
  });
  return newest;
}

function at(value, pointer) {
  const steps = pointer.split('/').slice(1);
  const step = (value, name) => {
    const isThere = value !== null && typeof value === 'object' && Object.hasOwn(value, name);
    return isThere ? value[name] : undefined;
  };
  const names = steps.map((it) => it.replaceAll('~1', '/').replaceAll('~0', '~'));
  return names.reduce(step, value);
}

const escaped = (name) => name.replaceAll('~', '~0').replaceAll('/', '~1');
const text = (value) => (value === undefined ? null : JSON.stringify(value));
const string = (value) => (typeof value === 'string' ? value : null);

const PAGE_MAX = 500;
