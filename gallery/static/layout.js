// How a chunk of tiles lies in its list.

// Put items in order without moving those that are already in place: a moved element would lose
// its focus.
export function rearrange(list, items) {
  const wanted = new Set(items);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  let at = list.firstElementChild;
  for (const item of items) {
    if (item === at) at = at.nextElementSibling;
    else list.insertBefore(item, at);
  }
}

export function height(chunk) {
  const style = getComputedStyle(chunk.list);
  const columns = style.gridTemplateColumns.split(" ").length;
  const gap = Number.parseFloat(style.columnGap) || 0;
  const side = (chunk.list.clientWidth - gap * (columns - 1)) / columns;
  const rows = Math.ceil(chunk.refs.length / columns);
  return rows * side + (rows - 1) * gap;
}
