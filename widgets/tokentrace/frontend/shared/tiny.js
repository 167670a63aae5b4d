// Differences so small that decimals would be noughts, with the power of ten raised.

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A small number above 0 with one digit: 2·10⁻⁵. @param {number} value */
export function tiny(value) {
  const [digit, power] = value.toExponential(0).split("e");
  return `${digit}·10${power.replace("-", "⁻").replace("+", "").replace(/\d/g, (each) => RAISED[Number(each)])}`;
}
