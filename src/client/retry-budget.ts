/**
 * Keeps retries at a tenth of the requests: when a server is in trouble, clients that retry freely multiply its load at
 * the worst moment. (The token bucket of gRPC's retry throttling, gRFC A6.)
 */
const TOKENS_MAX = 10;
const TOKENS_PER_REQUEST = 0.1;

export interface RetryBudget {
  /** To be called once for each request, however often it is then tried. */
  deposit(): void;
  /** Takes one retry out of the budget; false when there is none left. */
  withdraw(): boolean;
}

export function createRetryBudget(): RetryBudget {
  let tokens = TOKENS_MAX;
  return {
    deposit: () => {
      tokens = Math.min(TOKENS_MAX, tokens + TOKENS_PER_REQUEST);
    },
    withdraw: () => {
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
