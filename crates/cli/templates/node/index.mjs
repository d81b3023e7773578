/** Greets whoever the request names. */
export default async function handle(request, context) {
  const name = request.body?.name ?? 'world';
  console.log(`greeting ${name}`);
  return { message: `Hello, ${name}!` };
}
