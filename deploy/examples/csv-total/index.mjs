// Totals a column of a CSV text, and names its largest row.
import { parse } from "csv-parse/sync";

export default async function handle(request) {
  const { csv, column, label } = request.body ?? {};
  if (typeof csv !== "string" || typeof column !== "string" || typeof label !== "string") {
    return { status_code: 400, body: { error: "send {csv, column, label}" } };
  }
  const rows = parse(csv, { columns: true, skip_empty_lines: true });
  const amounts = rows.map((row) => Number(row[column]?.replaceAll(",", "")));
  const bad = amounts.findIndex((amount) => !Number.isFinite(amount));
  if (bad >= 0) {
    return { status_code: 422, body: { error: `row ${bad + 1} has no number in ${column}` } };
  }
  const largest = amounts.indexOf(Math.max(...amounts));
  console.log(`${rows.length} rows`);
  return {
    rows: rows.length,
    total: amounts.reduce((sum, amount) => sum + amount, 0),
    largest: rows[largest]?.[label] ?? null,
  };
}
