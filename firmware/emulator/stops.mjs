// Where firmware is stopped: after another number of instructions each time, since it is asleep at most times.
const MOST = 5_000;

let last = 1;

export function nextStop() {
  // A full cycle of Lehmer's generator with the numbers of Park and Miller (Communications of the ACM 31, 10).
  last = (last * 48_271) % 2_147_483_647;
  return last % MOST;
}
