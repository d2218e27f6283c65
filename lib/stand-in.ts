type Key = string | symbol;

/**
 * Makes `standIn` pass for `platform`: its prototype inherits from the platform's (so `instanceof` holds), and every
 * member that `standIn` does not define itself goes to the real object that `realOf` makes on demand.
 *
 * `sample` is any real object. Node 20 and Deno keep their slots in own symbols; these are forwarded too, because Deno
 * reads them from whatever has the right prototype and fails with an obscure TypeError if they are missing.
 */
export function standFor<Real extends object>(
  standIn: { readonly prototype: object },
  platform: { readonly prototype: Real },
  sample: Real,
  realOf: (standIn: object) => Real,
): void {
  const { prototype } = standIn;
  Object.setPrototypeOf(prototype, platform.prototype);
  for (const key of memberKeys(platform.prototype, sample)) {
    if (Object.hasOwn(prototype, key)) continue;
    Object.defineProperty(prototype, key, forwarder(key, platform.prototype, realOf));
  }
}

function memberKeys(prototype: object, sample: object): Set<Key> {
  const keys = new Set<Key>([...Reflect.ownKeys(prototype), ...Object.getOwnPropertySymbols(sample)]);
  keys.delete('constructor');
  keys.delete(Symbol.toStringTag);
  return keys;
}

function forwarder<Real extends object>(
  key: Key,
  prototype: Real,
  realOf: (standIn: object) => Real,
): PropertyDescriptor {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, key);
  const enumerable = descriptor?.enumerable ?? false;
  if (typeof descriptor?.value === 'function') {
    const call = function (this: object, ...parameters: unknown[]): unknown {
      const real = realOf(this);
      const method = Reflect.get(real, key) as (...parameters: unknown[]) => unknown;
      return Reflect.apply(method, real, parameters);
    };
    return { configurable: true, enumerable, writable: true, value: call };
  }
  return {
    configurable: true,
    enumerable,
    get(this: object): unknown {
      return Reflect.get(realOf(this), key);
    },
    set(this: object, value: unknown): void {
      Reflect.set(realOf(this), key, value);
    },
  };
}
