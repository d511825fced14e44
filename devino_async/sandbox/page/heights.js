// The places of rows of different heights. A Fenwick tree finds a row by its place among 100,000 in some microseconds.

export class Heights {
  constructor(estimate) {
    this.estimate = estimate;
    this.clear();
  }

  clear() {
    this.count = 0;
    this.extra = new Float64Array(1024);
    this.tree = new Float64Array(1025);
  }

  resize(count) {
    if (count > this.extra.length) {
      const grown = new Float64Array(2 ** Math.ceil(Math.log2(count)));
      grown.set(this.extra);
      this.extra = grown;
      this.tree = new Float64Array(grown.length + 1);
      for (let place = 1; place < this.tree.length; place++) {
        this.tree[place] += grown[place - 1];
        const above = place + (place & -place);
        if (above < this.tree.length) this.tree[above] += this.tree[place];
      }
    }
    for (let index = count; index < this.count; index++) this.set(index, this.estimate);
    this.count = count;
  }

  get(index) {
    return this.estimate + this.extra[index];
  }

  // Returns by how much the row grew.
  set(index, height) {
    const change = height - this.get(index);
    if (Math.abs(change) < 0.5) return 0;
    this.extra[index] += change;
    for (let place = index + 1; place < this.tree.length; place += place & -place) this.tree[place] += change;
    return change;
  }

  top(index) {
    let sum = index * this.estimate;
    for (let place = index; place > 0; place -= place & -place) sum += this.tree[place];
    return sum;
  }

  get total() {
    return this.top(this.count);
  }

  // Returns the row at a distance from the top.
  at(distance) {
    let [low, high] = [0, Math.max(0, this.count - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.top(middle) <= distance) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
