// The incident's traffic: RATE journeys a second, of a sudden PEAK, and RATE again, SECONDS each. Judged are the whole of it by what
// journeys got, and the time after the spike by its latencies too: it has to be as it was before, at once.
//   k6 run -e SHOP=http://127.0.0.1:8080 -e RATE=20 -e PEAK=100 -e SECONDS=30 loadtests/k6/spike.js

import { ROUTES, STATISTICS, arrivals, counted, mixed, number, thresholds } from './shop.js';

const [rate, peak, seconds] = [number('RATE', 20), number('PEAK', 100), number('SECONDS', 30)];
// While the shop refuses, whoever was told to wait is a user who is busy.
const users = Math.ceil(peak * 3);

export const options = {
  scenarios: {
    before: arrivals(rate, seconds, users, { exec: 'journey' }),
    spike: arrivals(peak, seconds, users, { exec: 'journey', startTime: `${seconds}s` }),
    after: arrivals(rate, seconds, users, { exec: 'journey', startTime: `${2 * seconds}s` }),
  },
  thresholds: thresholds(ROUTES.mix, ',scenario:after'),
  summaryTrendStats: STATISTICS,
};
export { setup } from './shop.js';
export const journey = counted(mixed);
