// Looks at products, fills a cart and orders it.
//   k6 run -e SHOP=http://127.0.0.1:8080 -e RATE=5 -e SECONDS=30 loadtests/k6/purchase.js

import { ROUTES, counted, purchase, number, options as steady } from './shop.js';

export const options = steady(ROUTES.purchase, number('RATE', 5), number('SECONDS', 30));
export { setup } from './shop.js';
export default counted(purchase);
