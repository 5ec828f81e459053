// Logs in with a password, whose hash is dear on purpose: at a high rate it would be all that the shop does.
//   k6 run -e SHOP=http://127.0.0.1:8080 -e RATE=2 -e SECONDS=30 loadtests/k6/login.js

import { ROUTES, counted, logIn, number, options as steady } from './shop.js';

export const options = steady(ROUTES.login, number('RATE', 2), number('SECONDS', 30));
export { setup } from './shop.js';
export default counted(logIn);
