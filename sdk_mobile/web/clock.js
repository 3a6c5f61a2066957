// @ts-check
/** The time the backend would read: the phone's clock and what the backend's Date said. */

const SKEW_NOTICED_SECONDS = 2; // Date has whole seconds, and the answer was on its way

/** The phone's own clock, unix seconds; the only place that asks it. */
export function phoneSeconds() {
  return Date.now() / 1000;
}

/** The phone's clock plus the learned skew (backend minus phone, seconds). */
export class SkewedClock {
  /**
   * @param {() => number} phone unix seconds
   * @param {number} [skewSeconds]
   */
  constructor(phone, skewSeconds = 0) {
    this.phone = phone;
    this.skewSeconds = skewSeconds;
  }

  /** Unix seconds as the backend counts them. */
  nowSeconds() {
    return this.phone() + this.skewSeconds;
  }

  /** The moment as RFC 3339 in UTC. */
  now() {
    return new Date(this.nowSeconds() * 1000).toISOString();
  }

  /**
   * A moment of the backend's as a Date of this phone's clock.
   * @param {number} backendSeconds
   */
  byPhone(backendSeconds) {
    return new Date((backendSeconds - this.skewSeconds) * 1000);
  }

  /**
   * Takes one reading of the backend's clock; true when the skew changed for it.
   * @param {number} backendSeconds
   */
  learn(backendSeconds) {
    const seen = backendSeconds - this.phone();
    if (Math.abs(seen - this.skewSeconds) <= SKEW_NOTICED_SECONDS) return false;
    this.skewSeconds = seen;
    return true;
  }
}
