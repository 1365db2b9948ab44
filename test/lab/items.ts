/** `Count` items of a type. */
type Tuple<Item, Count extends number, Items extends Item[] = []> = Items['length'] extends Count
  ? Items
  : Tuple<Item, Count, [...Items, Item]>;

/** All items of a list that has so many. @throws RangeError if it has not */
export function exactly<Item, Count extends number>(count: Count, items: Iterable<Item>): Tuple<Item, Count> {
  const all = [...items];
  if (all.length !== count) throw new RangeError(`${all.length} items instead of ${count}: ${all}`);
  return all as Tuple<Item, Count>;
}

/** One item of a list. @param index from 0 on @throws RangeError if the list ends before it */
export function item<Item>(items: ArrayLike<Item>, index: number): Item {
  if (!(index in items)) throw new RangeError(`no item ${index} among ${items.length}`);
  return items[index] as Item;
}
