/**
 * Gives a class the looks of an interface of Web IDL (§3.7.3, §3.7.6, §3.7.7): its members are enumerable, and `name` is what
 * `Object.prototype.toString` says. Members with a symbol, and the constructor, stay as they are.
 */
export function exposed(made: { readonly prototype: object }, name: string): void {
  for (const holder of [made, made.prototype]) {
    for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(holder))) {
      if (key === 'constructor' || !isMember(descriptor)) continue;
      Object.defineProperty(holder, key, { ...descriptor, enumerable: true });
    }
  }
  Object.defineProperty(made.prototype, Symbol.toStringTag, { value: name, configurable: true });
}

/** An attribute or an operation: not the `name`, `length` and `prototype` of a function. */
function isMember({ get, value }: PropertyDescriptor): boolean {
  return get !== undefined || typeof value === 'function';
}
