import { AuthApi, CartsApi, Configuration, OrdersApi, ProductsApi } from './index';

// What of Node is used: its types are a package of their own.
declare const process: { argv: string[]; exit(code: number): never };

// The README's journey, by a client that was generated from the shop's own description.
async function journey(shop: string): Promise<void> {
    const open = new Configuration({ basePath: shop });
    const tokens = await new AuthApi(open).login({ credentials: { email: 'user00001@example.test', password: 'correct-horse-battery' } });
    const page = await new ProductsApi(open).products();
    if (page.data.length === 0) throw new Error('the shop has no products');

    const buyer = new Configuration({ basePath: shop, accessToken: tokens.accessToken });
    const carts = new CartsApi(buyer);
    const cart = await carts.createCart();
    const filled = await carts.putItem({ id: cart.id, sku: 'SKU-000001', quantity: { quantity: 2 } });
    const address = { name: 'Ada', line1: '1 Mill Lane', city: 'Ulm', postalCode: '89073', country: 'DE' };
    const shown = { cartVersion: filled.version, expectedTotal: filled.total! };
    const placeOrder = { cartId: cart.id, ...shown, paymentToken: 'tok_ok', address };
    const orders = new OrdersApi(buyer);
    const placed = await orders.placeOrder({ idempotencyKey: cart.id, placeOrder });
    const again = await orders.placeOrder({ idempotencyKey: cart.id, placeOrder });
    const order = await orders.order({ id: placed.id });
    if (again.id !== placed.id || order.status !== 'paid' || order.payments.length !== 1) throw new Error(JSON.stringify(order));
    console.log(`ordered ${order.id} for ${order.total.amount} ${order.total.currency}`);
}

void journey(process.argv[2]).catch((error) => {
    console.error(error);
    process.exit(1);
});
