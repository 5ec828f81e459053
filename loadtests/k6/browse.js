// Looks at a list of products, and at one of them.
//   k6 run -e SHOP=http://127.0.0.1:8080 -e RATE=20 -e SECONDS=30 loadtests/k6/browse.js

import { ROUTES, counted, browse, number, options as steady } from './shop.js';

export const options = steady(ROUTES.browse, number('RATE', 20), number('SECONDS', 30));
export { setup } from './shop.js';
export default counted(browse);
